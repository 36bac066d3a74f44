# The Drydock worker (and command). Build: docker build -t drydock .
# NODE_IMAGE may name any image with Node >= 20.19 and npm.
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY domain domain
COPY adapters adapters
COPY store store
COPY activities activities
COPY workflows workflows
COPY worker worker
COPY client client
RUN node scripts/build.mjs && npm prune --omit=dev --no-audit --no-fund

FROM ${NODE_IMAGE}
ENV NODE_ENV=production \
    DRYDOCK_CONFIG=/etc/drydock/drydock.yaml
# The worker's library takes the authorities of TLS from the system only, and slim images have none.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
# A fixed number, so that files on mounted vaults can be given to it.
RUN groupadd --gid 10001 drydock \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/drydock --no-create-home --shell /usr/sbin/nologin drydock \
 && mkdir -p /etc/drydock /var/lib/drydock/state /var/lib/drydock/vault \
 && chown -R drydock:drydock /var/lib/drydock \
 && chmod -R 0700 /var/lib/drydock
WORKDIR /app
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules ./node_modules
COPY --from=build /src/dist ./dist
USER 10001:10001
ENTRYPOINT ["node", "/app/dist/client/main.js"]
CMD ["worker"]
