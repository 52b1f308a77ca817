# sandbox: a comfortable image that runs the daemon (the default).  bundle: only the daemon's directory, for other images:
#   COPY --from=<this image, target bundle> / /opt/envd
ARG BASE=debian:12-slim

FROM ${BASE} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends binutils ca-certificates g++ make npm python3
WORKDIR /build
COPY . .
ARG ENVD_COMMIT
RUN npm run bundle && mv dist/envd-linux-*/ /envd

FROM scratch AS bundle
COPY --from=build /envd /

FROM ${BASE} AS sandbox
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bash ca-certificates curl git less procps python3 sudo \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 --shell /bin/bash user \
    && echo 'user ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/user \
    && chmod 0440 /etc/sudoers.d/user
COPY --from=bundle / /opt/envd
EXPOSE 49983
HEALTHCHECK --interval=20s --timeout=2s --start-period=5s CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:49983/health"]
ENTRYPOINT ["/opt/envd/envd"]
CMD ["-isnotfc", "-default-user", "user"]
