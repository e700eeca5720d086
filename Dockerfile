# syntax=docker/dockerfile:1
# The sidecar on a base without shell or package manager, as an unprivileged user:
#
#   docker build -t outrigger .
#   docker run --rm -v "$PWD/policy.yaml:/etc/outrigger/policy.yaml:ro" -p 15006:15006 outrigger \
#       proxy --policy /etc/outrigger/policy.yaml --app http://host:8080
#
# Mount a directory rather than a file if the policy is to be edited while it runs: an editor that renames a new
# file into place leaves a mounted file as it was.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p outrigger-proxy --bin outrigger \
    && install -D -s target/release/outrigger /out/usr/local/bin/outrigger \
    && install -d /out/var/lib/outrigger

# glibc, the roots of public certificate authorities, and a user `nonroot` (65532).
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/usr/local/bin/outrigger /usr/local/bin/outrigger
# Its own, so that a named volume mounted here is writable too.
COPY --from=build --chown=65532:65532 /out/var/lib/outrigger /var/lib/outrigger
USER 65532:65532
# `state_dir` is ./state unless a sidecar.yaml says otherwise.
WORKDIR /var/lib/outrigger
EXPOSE 15006
STOPSIGNAL SIGTERM
# Ready means: a policy is in force and the listeners answer. With an admin address other than the default, set
# OUTRIGGER_ADMIN to it.
HEALTHCHECK --interval=5s --timeout=6s --start-period=10s --retries=3 CMD ["/usr/local/bin/outrigger", "health"]
ENTRYPOINT ["/usr/local/bin/outrigger"]
CMD ["proxy", "--config", "/etc/outrigger/sidecar.yaml"]
