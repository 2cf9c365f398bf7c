# The server with nothing but its hashed runtime lock. See docker-compose.yml for Postgres and workers.
# A full version, not one that moves; docs/security.md says how to take an image by its digest.
ARG PYTHON=python:3.11.16-slim-bookworm
FROM ${PYTHON} AS build
WORKDIR /source
RUN python -m venv /opt/chainrule
COPY requirements.txt .
RUN /opt/chainrule/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY alembic alembic
COPY app app
RUN /opt/chainrule/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index .

FROM ${PYTHON}
RUN useradd --system --uid 10001 chainrule && install --directory --owner chainrule --mode 700 /data
COPY --from=build /opt/chainrule /opt/chainrule
ENV PATH=/opt/chainrule/bin:$PATH \
    CHAINRULE_HOST=0.0.0.0 \
    CHAINRULE_DATA_DIR=/data
USER chainrule
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# A public address: the server starts only with CHAINRULE_ADMIN_KEY, and with CHAINRULE_INSECURE_HTTP=true behind TLS.
ENTRYPOINT ["chainrule-server"]
CMD ["serve"]
