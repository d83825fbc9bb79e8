-- Whether deliveries pass the trace context of the sender on to receivers.
alter table environments add column forward_trace_context bigint not null default 0;

-- Place in the trace of the request: the headers `traceparent` and, behind a space, `tracestate`. Null for most messages.
alter table messages add column trace_context text;
