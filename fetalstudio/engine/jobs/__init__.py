"""The jobs: plain functions ``run(request, report, cancelled) -> result``, one module each."""
