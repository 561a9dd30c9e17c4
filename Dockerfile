# The platform's image: one image, whose command says which part it is (docker-compose.yml, deploy/).

FROM python:3.11-slim AS build
COPY requirements.txt /tmp/requirements.txt
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
      --require-hashes --only-binary :all: -r /tmp/requirements.txt

FROM python:3.11-slim
# 10001: a number, so that Kubernetes can see that it is not root.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin aiplatform \
 && install -d -o aiplatform -g aiplatform -m 700 /var/lib/aiplatform
COPY --from=build /venv /venv
COPY . /app
RUN /venv/bin/python -m compileall -q /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DJANGO_ENV=production \
    HOST=0.0.0.0 \
    PORT=8000 \
    STATE_DIR=/var/lib/aiplatform
USER 10001
# The journal of calls that the database could not take is here: it must outlive the container.
VOLUME /var/lib/aiplatform
EXPOSE 8000
STOPSIGNAL SIGTERM
# Without proxies: Docker sets HTTP_PROXY where its own client has one, and no proxy leads back into a container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/livez', timeout=2)"]
CMD ["python", "manage.py", "serve", "--only", "web"]
