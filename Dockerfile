# Builds the daemon, then leaves what it needs at run time: some 130 MB, nearly all of it the pinned Node.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates g++ npm
WORKDIR /build
COPY . .
ARG ENVD_COMMIT
RUN sh scripts/ready && mkdir /image && \
    cp -a --parents package.json scripts/envd dist node_modules/node-linux-*/bin/node /image

FROM debian:12-slim
COPY --from=build /image /opt/envd
RUN ln -s /opt/envd/scripts/envd /usr/local/bin/envd && useradd --create-home --uid 1000 --shell /bin/bash user
EXPOSE 49983
ENTRYPOINT ["envd"]
CMD ["-isnotfc", "-default-user", "user"]
