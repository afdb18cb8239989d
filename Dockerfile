# One image for every role: `worker.py` with the settings of the role (see docker-compose.yml).
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY requirements.lock .
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE worker.py ./
COPY connectionchain connectionchain
COPY workflows workflows
COPY activities activities
COPY adapters adapters
COPY ledger ledger
COPY web web
COPY roles roles
COPY contracts/artifacts contracts/artifacts
COPY devnet devnet
RUN pip install --no-build-isolation --no-deps -e .
ENV CONNECTIONCHAIN_SETTINGS=/role/worker.json
CMD ["python", "worker.py"]
