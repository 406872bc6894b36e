# Two images from one base: `orthanc` (Orthanc with the plugin, or a plain archive) and `worker`.
# They install and start with the very functions that ./run uses.
FROM debian:12-slim AS base
# --build-arg EXTRA=flywheel: with Flywheel's SDK.
ARG EXTRA=
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /opt/orthanc-deid

# Packages and dependencies first: they change less often than the code.
COPY setup.sh pyproject.toml README.md requirements.lock requirements-flywheel.lock ./
COPY plugin/orthanc_deid/__init__.py plugin/orthanc_deid/
RUN . ./setup.sh \
    && install_packages "${RUN_PACKAGES[@]}" \
    && python_environment "requirements${EXTRA:+-$EXTRA}.lock" \
    && rm -rf /var/lib/apt/lists/* ~/.cache

COPY . .
# The user cannot write here, so that what runs is what was built; Python's compiled files are made now.
RUN .venv/bin/python -m compileall -q plugin \
    && useradd --system --no-log-init --uid 10042 --home-dir /var/lib/orthanc-deid deid \
    && install -d -m 0700 -o deid -g deid /var/lib/orthanc-deid /var/lib/orthanc-deid-keys
USER 10042
ENV ORTHANC_DEID_HOME=/var/lib/orthanc-deid
VOLUME /var/lib/orthanc-deid
ENTRYPOINT ["/opt/orthanc-deid/run"]

FROM base AS worker
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD [".venv/bin/python", "-m", "orthanc_deid.healthcheck", "worker"]
CMD ["worker"]

FROM base AS orthanc
EXPOSE 8042 4242
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD [".venv/bin/python", "-m", "orthanc_deid.healthcheck", "product"]
CMD ["product"]
