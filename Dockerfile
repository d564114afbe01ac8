# The one program, for every role: docker build -t weir:0.1.0 .
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
# Every member of the workspace, for cargo reads them all. Without rust-toolchain.toml: the image has that toolchain, and
# what the file asks for beside it is for development.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY proto proto
COPY bus bus
COPY service service
COPY query query
COPY calls calls
COPY collector collector
COPY indexer indexer
COPY alerter alerter
COPY usage usage
COPY reflow reflow
COPY console console
COPY weir weir
COPY tests tests
RUN cargo build --release --locked -p weir && install -d -m 0755 /data

FROM debian:bookworm-slim
COPY --from=build /src/target/release/weir /usr/local/bin/weir
# Whom to trust: brokers, webhooks and OTLP receivers with certificates of public authorities.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# Days and months of reports are those of a time zone.
COPY --from=build /usr/share/zoneinfo /usr/share/zoneinfo
# The default data_dir is below the folder that it starts in.
COPY --from=build --chown=65532:65532 /data /var/lib/weir
WORKDIR /var/lib/weir
USER 65532:65532
ENTRYPOINT ["weir"]
