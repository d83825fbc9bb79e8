-- Place in the trace of the request: the headers `traceparent` and, behind a space, `tracestate`. Null for most messages.
alter table messages add column trace_context text;
