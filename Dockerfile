# Builds Hearthcam and runs it as a user without rights. `docker build -t hearthcam .`
FROM node:24-bookworm-slim AS build
WORKDIR /app
ENV SKIP_FFMPEG=true
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-fund --no-audit
COPY . .
RUN node scripts/build.ts && npm prune --omit=dev --no-fund --no-audit

FROM node:24-bookworm-slim
WORKDIR /app
# The memory settings are those of ./hearthcam.
ENV NODE_ENV=production MALLOC_ARENA_MAX=2 MALLOC_TRIM_THRESHOLD_=262144 MALLOC_MMAP_THRESHOLD_=262144
COPY --from=build --chown=root:root /app/package.json ./package.json
COPY --from=build --chown=root:root /app/node_modules ./node_modules
COPY --from=build --chown=root:root /app/dist ./dist
RUN useradd --system --uid 10001 --home-dir /config --create-home hearthcam && chown hearthcam /config
USER hearthcam
WORKDIR /config
VOLUME /config
# HTTP API and page, RTSP, WebRTC. With a bridge instead of the host's network, the configuration has to name
# addresses (api.listen: ":1984" …), since everything listens on loopback otherwise.
EXPOSE 1984 8554 8555/udp
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:1984/api').then((r) => process.exit(r.ok || r.status === 401 ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "--max-semi-space-size=4", "--no-memory-reducer", "--no-flush-bytecode", "/app/dist/hearthcam.js"]
CMD ["serve", "-c", "/config/hearthcam.yaml"]
