# emotrack on a server without a graphics card: microphones on a broker, the page, Wyoming, figures.
#
#   docker build --build-arg PIP_EXTRA_INDEX_URL=ADDRESS --tag emotrack .
#
# ADDRESS is where PyTorch's build for the processor is: https://pytorch.org/get-started/locally/ for Linux, Pip, CPU. The
# one with CUDA would make the image four times as large. examples/deployment/compose.yaml runs it beside a broker.

FROM python:3.11-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/emotrack
WORKDIR /src
COPY constraints.txt .
RUN /opt/emotrack/bin/pip install --constraint constraints.txt "$(grep '^torch==' constraints.txt)+cpu"
COPY . .
RUN /opt/emotrack/bin/pip install --constraint constraints.txt '.[metrics,web,wyoming]'

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin emotrack
COPY --from=build /opt/emotrack /opt/emotrack
ENV PATH=/opt/emotrack/bin:$PATH
USER emotrack
WORKDIR /tmp
# With --metrics 0.0.0.0:9464; --web and emotrack wyoming have ports of their own.
EXPOSE 9464
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/healthz', timeout=4)"]
STOPSIGNAL SIGINT
ENTRYPOINT ["emotrack"]
CMD ["--help"]
