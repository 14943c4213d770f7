"""The jobs, a folder each: ``request.py`` has the request, which names the job, and its result;
``job.py`` has the function that answers it. See `fetalstudio.engine.process.job`."""
