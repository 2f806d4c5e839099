# The image of every irsa command: Node, the bundle, and nothing that could run somebody else's command
# (no shell, no package manager).
#
#   npm ci --ignore-scripts && npm run build
#   docker build --tag localhost/irsa-anywhere .
#
# Nothing is run while it is built, and nothing is fetched but the base. So a platform is only an argument
# (docker buildx build --platform linux/amd64,linux/arm64), and so is the base: `npm run image -- --local-base`
# and the tests build this very file, without a registry, on a base made of this machine's Node.
ARG BASE=gcr.io/distroless/nodejs24-debian13:nonroot
FROM ${BASE}

ARG BASE
ARG VERSION=0.0.0
ARG REVISION=unknown
# Of the image with iptables (Dockerfile.iptables) it is root, who alone may change the network of a node.
ARG RUN_AS=65532:65532
LABEL org.opencontainers.image.title="irsa-anywhere" \
      org.opencontainers.image.description="AWS credentials for pods on any Kubernetes cluster, without node roles and without long-lived keys" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

# These and the flag of the ENTRYPOINT are the one place for the settings of memory: the benchmark reads
# the lines and measures with them. A small young generation, an old one that is cleared when it has
# grown by a quarter, and an allocator that gives back what it has freed: two fifths of the memory under
# load, for a tenth more time. There is no limit to the heap, which grows with the cluster. With
# `--expose-gc` a program may give back what only its start needed, as the metadata shim does.
ENV NODE_OPTIONS="--max-semi-space-size=2 --expose-gc"
ENV MALLOC_ARENA_MAX="1"
ENV MALLOC_MMAP_THRESHOLD_="131072"
ENV MALLOC_TRIM_THRESHOLD_="131072"
# Keeps stack traces out of the answers of express.
ENV NODE_ENV="production"

WORKDIR /app
# Readable for the user below, whatever the umask of who built the bundle.
COPY --chmod=0444 LICENSE dist/*.mjs dist/irsa.cdx.json ./

# As a number, since `runAsNonRoot` cannot be checked against a name; it is `nonroot` of distroless.
USER ${RUN_AS}
# The flag is none that Node takes from NODE_OPTIONS.
ENTRYPOINT ["/nodejs/bin/node", "--heap-growing-percent=25", "/app/irsa.mjs"]
CMD ["--help"]
