/** First run: an application, an endpoint, a message, and its arrival. Each step is one click and shows what it made. */
import { Button, Textarea, TextInput } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { IconCircleCheckFilled, IconSend } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { applicationChoicesQuery, createApplication } from "@/api/applications";
import { queryClient, type Schemas } from "@/api/client";
import { createEndpoint, endpointsQuery } from "@/api/endpoints";
import { messageQuery, messagesQuery, sendMessage } from "@/api/messages";
import { Command } from "@/components/code/Command";
import { ActError } from "@/components/feedback/ErrorState";
import { Card } from "@/components/page/Card";
import { Page, Title } from "@/components/page/Page";
import { IdCopy } from "@/components/status/IdCopy";
import { summaryState } from "@/components/status/states";
import { StatusBadge } from "@/components/status/StatusBadge";
import { curlOfMessage } from "@/lib/json/curl";
import { duration } from "@/lib/words/durations";
import classes from "../pages.module.css";

const SAMPLE = '{\n  "invoice_id": "inv_0001",\n  "amount": 4200,\n  "currency": "EUR"\n}';
const SAMPLE_TYPE = "invoice.paid";

export function GetStarted() {
  const { data: applications } = useQuery(applicationChoicesQuery(""));
  const application = applications?.[applications.length - 1];
  const { data: endpointPage } = useQuery({
    ...endpointsQuery(application?.id ?? ""),
    enabled: application !== undefined,
  });
  const endpoint = endpointPage?.endpoints[0];
  const latest = useInfiniteQuery({
    ...messagesQuery(application ? { application_id: [application.id] } : {}),
    enabled: endpoint !== undefined,
  });
  const message = latest.data?.pages[0]?.messages[0];
  const watched = useQuery({
    ...messageQuery(message?.id ?? ""),
    enabled: message !== undefined,
    refetchInterval: (query) => (query.state.data?.message.status === "delivered" ? false : 1000),
  });
  const isArrived = watched.data?.message.status === "delivered";
  const done = [application, endpoint, message, isArrived || undefined].filter(
    (one) => one !== undefined,
  ).length;
  const state = (step: number) => (done >= step ? "done" : done === step - 1 ? "now" : "later");
  return (
    <Page
      crumbs={[{ label: "Overview", link: { to: "/dashboard" } }, { label: "Get started" }]}
      actions={<span className="small ink-2">{done} of 4 done</span>}
    >
      <div className={classes.steps}>
        <Title text="See a webhook arrive" facts="Four steps, about a minute. You can leave and come back." />
        <Card>
          <Step number={1} state={state(1)} title="Create an application" aside="One for each customer">
            {application ? (
              <span className="row">
                <span className="name">{application.name}</span> <IdCopy value={application.id} />
              </span>
            ) : (
              <NewApplication />
            )}
          </Step>
          <Step number={2} state={state(2)} title="Add an endpoint" aside="Where its webhooks go">
            {endpoint ? (
              <code>{endpoint.type === "test_receiver" ? "Test receiver" : endpoint.url}</code>
            ) : (
              application && <NewEndpoint appId={application.id} />
            )}
          </Step>
          <Step
            number={3}
            state={state(3)}
            title="Send a sample message"
            aside="Your product does this from now on"
          >
            {application && endpoint && !message && (
              <SendSample
                appId={application.id}
                onSent={() => void queryClient.invalidateQueries({ queryKey: ["messages"] })}
              />
            )}
            {message && (
              <span className="row">
                <span className="name">{message.event_type}</span> <IdCopy value={message.id} />
              </span>
            )}
          </Step>
          <Step number={4} state={state(4)} title="Watch it arrive">
            {watched.data && (
              <div className="stack-small">
                <span className="row">
                  <StatusBadge state={summaryState(watched.data.message, watched.data.deliveries)} isTinted />
                  {watched.data.attempts[0] && (
                    <span className="number">{duration(watched.data.attempts[0].duration_ms)}</span>
                  )}
                </span>
                {message && (
                  <Link to="/dashboard/messages/$id" params={{ id: message.id }}>
                    Open the message
                  </Link>
                )}
              </div>
            )}
          </Step>
        </Card>
      </div>
    </Page>
  );
}

interface StepProps {
  number: number;
  state: "done" | "now" | "later";
  title: string;
  aside?: string;
  children: ReactNode;
}

function Step({ number, state, title, aside, children }: StepProps) {
  return (
    <div className={classes.step}>
      <span className={classes.stepNumber} data-state={state}>
        {state === "done" ? <IconCircleCheckFilled size={21} aria-hidden /> : number}
        {state === "done" && <span className="visually-hidden">Done</span>}
      </span>
      <div className="stack-small">
        <div className={classes.between}>
          <h2>{title}</h2>
          {aside !== undefined && <span className="small ink-3">{aside}</span>}
        </div>
        {children}
      </div>
    </div>
  );
}

function NewApplication() {
  const [name, setName] = useState("First customer");
  const making = useMutation({
    mutationFn: () => createApplication({ name }),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: ["applications"] }),
  });
  return (
    <form
      className="row-wrap"
      onSubmit={(event) => {
        event.preventDefault();
        making.mutate();
      }}
    >
      <TextInput
        aria-label="Name"
        value={name}
        required
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Button type="submit" variant="filled" loading={making.isPending}>
        Create application
      </Button>
      <ActError error={making.error} />
    </form>
  );
}

/** An endpoint inside of the server, which shows what would arrive. */
const TEST_RECEIVER = { type: "test_receiver", description: "Test receiver" } as const;

function NewEndpoint({ appId }: { appId: string }) {
  const [url, setUrl] = useState("");
  const making = useMutation({
    mutationFn: (body: Schemas["CreateEndpoint"]) => createEndpoint(appId, body),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: ["endpoints"] }),
  });
  return (
    <form
      className="stack-small"
      onSubmit={(event) => {
        event.preventDefault();
        making.mutate({ url });
      }}
    >
      <div className="row-wrap">
        <TextInput
          aria-label="URL"
          type="url"
          required
          w={360}
          maw="100%"
          placeholder="https://hooks.example.com/webhooks"
          value={url}
          onChange={(event) => setUrl(event.currentTarget.value)}
        />
        <Button type="submit" variant="filled" loading={making.isPending}>
          Add endpoint
        </Button>
      </div>
      <ActError error={making.error} />
      <div className="row-wrap">
        <span className="small ink-3">No receiver yet?</span>
        <Button loading={making.isPending} onClick={() => making.mutate(TEST_RECEIVER)}>
          Use a test receiver
        </Button>
        <span className="small ink-3">It is inside of the server, and shows what arrives.</span>
      </div>
      <span className="small ink-3">Or let this command print each webhook that arrives at port 8485:</span>
      <Command text="hookstream sink" />
    </form>
  );
}

function SendSample({ appId, onSent }: { appId: string; onSent: () => void }) {
  const [payload, setPayload] = useState(SAMPLE);
  const sending = useMutation({
    mutationFn: () => sendMessage(appId, { event_type: SAMPLE_TYPE, payload: JSON.parse(payload) }),
    onSuccess: onSent,
  });
  return (
    <div className="stack-small">
      <Textarea
        label={`Payload of ${SAMPLE_TYPE}`}
        autosize
        minRows={5}
        classNames={{ input: "mono" }}
        value={payload}
        onChange={(event) => setPayload(event.currentTarget.value)}
      />
      <div className="row">
        <Button
          variant="filled"
          leftSection={<IconSend size={15} stroke={1.8} />}
          loading={sending.isPending}
          onClick={() => sending.mutate()}
        >
          Send it now
        </Button>
        <span className="small ink-3">or run the command</span>
      </div>
      <Command
        text={curlOfMessage(
          location.origin,
          appId,
          SAMPLE_TYPE,
          payload.replaceAll(/\s*\n\s*/g, " "),
        ).replaceAll(" \\\n ", "")}
      />
      <ActError error={sending.error} />
    </div>
  );
}
