-- Whether deliveries pass the trace context of the sender on to receivers.
alter table environments add column forward_trace_context integer not null default 0;
