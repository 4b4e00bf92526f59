# The stock Collector's own binary and our configuration, on a base that has a shell-less image's missing parts: something
# to ask /health with, and a directory for its queue that an ordinary user may write.
FROM otel/opentelemetry-collector-contrib:0.148.0 AS collector

FROM alpine:3.22.1
COPY --from=collector /otelcol-contrib /otelcol-contrib
COPY collectors/gateway/config.yaml /etc/otelcol/config.yaml
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/otelcol
USER 10001:10001
ENTRYPOINT ["/otelcol-contrib"]
CMD ["--config=/etc/otelcol/config.yaml"]
