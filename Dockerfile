# The image of Statehouse: Node 24, the bundle and the few packages that it loads at run time.
#
#   docker build -t statehouse .
#   docker run -p 4000:4000 -v statehouse:/data statehouse
#
# Nothing here knows the processor: `docker buildx build --platform linux/amd64,linux/arm64 .` makes both.
ARG NODE_IMAGE=node:24-bookworm-slim

# ---- what goes into /app -----------------------------------------------------------------------------------
FROM ${NODE_IMAGE} AS builder
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Not `ci`: see scripts/ensure-installed.mjs. No install script is needed: the binaries come in their packages.
RUN npm install --no-save --ignore-scripts --no-fund --no-audit --loglevel=error
COPY . .
RUN node scripts/build.ts && node docker/gather.mjs /app

# ---- the system: Node's image without what only builds and people at a desk use --------------------------------
FROM ${NODE_IMAGE} AS system
RUN rm -rf /usr/share/man/* /usr/share/locale/* /usr/share/info/* /var/cache/* /var/log/* \
      /usr/local/lib/node_modules /usr/local/include /usr/local/share/doc /usr/local/share/man /opt/* \
      /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg \
      /usr/local/bin/docker-entrypoint.sh /root/.npmrc /root/.npm /tmp/* \
 && find /usr/share/doc -type f ! -name copyright -delete \
 && mkdir /data && chown 1000:1000 /data && chmod 700 /data
COPY --from=builder /app /app
RUN ln -s /app/dist/main.js /usr/local/bin/statehouse && statehouse --version

# ---- the image: one layer, or what was removed above would still weigh -----------------------------------------
FROM scratch
COPY --from=system / /

ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Statehouse" \
      org.opencontainers.image.description="The state of your infrastructure, in your own house: a backend for unmodified pulumi CLIs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    NODE_ENV=production \
    STATEHOUSE_HOST=0.0.0.0 \
    STATEHOUSE_DATA_DIR=/data

WORKDIR /app
USER 1000:1000
VOLUME ["/data"]
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["statehouse", "healthcheck"]
ENTRYPOINT ["statehouse"]
CMD ["serve"]
