# The job as an image: built with everything cargo needs, run with next to nothing.
FROM rust:1.95-bookworm AS build
WORKDIR /plenum
COPY . .
# Dependencies and objects stay in caches of the builder, so that a change of a line compiles one crate.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/plenum/target \
    cargo build --release --locked -p dataflow && cp target/release/dataflow /dataflow

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 plenum \
    && mkdir /var/lib/plenum && chown plenum /var/lib/plenum
COPY --from=build /dataflow /usr/local/bin/dataflow
USER 10001
WORKDIR /var/lib/plenum
# SIGTERM to the job itself: it comes to rest and writes a checkpoint.
ENTRYPOINT ["dataflow"]
CMD ["run"]
