# Two images, `operator` and `worker`, from one build:
#   docker build --target operator -t tocsin/operator:0.1.0 .
#   docker build --target worker -t tocsin/worker:0.1.0 .
#
# BINARIES=built takes programs that were built before, from the folder `dist/` (both need glibc, OpenSSL and zlib of
# the base): `scripts/images.sh` does so where a compiler in a container would only build once more what is there already.
ARG RUST=docker.io/library/rust:1.95-bookworm
ARG BASE=docker.io/library/debian:bookworm-slim
ARG BINARIES=compiled

FROM ${RUST} AS compiled
RUN apt-get update && apt-get install --yes --no-install-recommends libssl-dev pkg-config && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cargo build --locked --release --bin tocsin --bin tocsin-operator && mkdir /dist \
    && strip -o /dist/tocsin target/release/tocsin && strip -o /dist/tocsin-operator target/release/tocsin-operator

FROM ${BASE} AS built
COPY dist/ /dist/

FROM ${BINARIES} AS binaries

# What both programs load, and whom they believe. A base without apt must have them.
FROM ${BASE} AS runtime
RUN ! command -v apt-get >/dev/null || { apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3 zlib1g && rm -rf /var/lib/apt/lists/*; }

FROM runtime AS operator
COPY --from=binaries /dist/tocsin-operator /usr/local/bin/tocsin-operator
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/tocsin-operator"]

FROM runtime AS worker
COPY --from=binaries /dist/tocsin /usr/local/bin/tocsin
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/tocsin"]
