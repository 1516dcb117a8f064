# The image of what decides, folds and watches deadlines: `processor`, and the verbs that end.
#   docker build -f dockerfiles/event-processor.Dockerfile -t agent-orchestration/event-processor .
# The stages `build` and `platform` are those of mcp-server.Dockerfile.

# The Python that the tests run on.
FROM python:3.11-slim-trixie AS build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/agent-orchestration \
    UV_PYTHON_DOWNLOADS=never
RUN python -m pip install --no-cache-dir uv==0.13.9
WORKDIR /build
# A change of our own code does not install what it depends on again.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-default-groups --extra analytics --extra fast --extra tracing --no-install-project
COPY LICENSE README.md ./
COPY schema/migrations schema/migrations
COPY helm/agent-orchestration/monitoring/slo.yaml helm/agent-orchestration/monitoring/slo.yaml
COPY agent_orchestration agent_orchestration
RUN uv sync --frozen --no-default-groups --extra analytics --extra fast --extra tracing --no-editable


FROM python:3.11-slim-trixie AS platform
LABEL org.opencontainers.image.title="Agent orchestration" \
      org.opencontainers.image.licenses="Apache-2.0"
# A new volume takes owner and mode from the folder that it is mounted on.
RUN groupadd --gid 10001 platform \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home \
        --shell /usr/sbin/nologin platform \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data /data/blobs
COPY --from=build /opt/agent-orchestration /opt/agent-orchestration
ENV PATH=/opt/agent-orchestration/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    AGENT_ORCHESTRATION_BACKEND=kafka-neo4j \
    AGENT_ORCHESTRATION_DATA=/data
# Settings that no variable has: mount them as /app/config.yaml.
WORKDIR /app
# The number, not the name: Kubernetes can tell that it is not root.
USER 10001:10001
ENTRYPOINT ["agent-orchestration"]


FROM platform AS event-processor
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=5s --retries=3 \
    CMD ["agent-orchestration", "consumer-groups", "describe", "agent_event_processor", "--here"]
CMD ["processor"]
