/** Command palette: what needs you first, then places, then acts. A pasted id opens what it names. */
import { Spotlight } from "@mantine/spotlight";
import { useDebouncedValue } from "@mantine/hooks";
import { IconApps, IconMail, IconPlus, IconSearch, IconSend } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type ComponentType, useState } from "react";
import { applicationChoicesQuery } from "@/api/applications";
import { problemsQuery } from "@/api/problems";
import { useMay, useRole } from "@/api/session";
import { problemState, subjectWords, waitingWords } from "@/components/status/problem-words";
import { Keys } from "@/components/feedback/Keys";
import { parseId } from "@/lib/words/ids";
import { isOpenTo, PLACES } from "./navigation";
import classes from "./Shell.module.css";

/** Problems that the palette shows at most. */
const MAX_NEEDS = 6;

interface Entry {
  key: string;
  group: "Needs you" | "Go to" | "Do";
  icon: ComponentType<{ size?: number; stroke?: number }>;
  label: string;
  detail?: string;
  run: () => void;
}

export function Palette() {
  const [query, setQuery] = useState("");
  const [isOpen, setOpen] = useState(false);
  return (
    <Spotlight.Root
      query={query}
      onQueryChange={setQuery}
      shortcut={["mod + K"]}
      scrollable
      maxHeight={440}
      size={640}
      lockScroll={false}
      centered={false}
      yOffset="12vh"
      overlayProps={{ blur: 0 }}
      onSpotlightOpen={() => setOpen(true)}
      onSpotlightClose={() => setOpen(false)}
    >
      <Spotlight.Search placeholder="Search or jump to" leftSection={<IconSearch size={17} stroke={1.7} />} />
      <Spotlight.ActionsList>{isOpen && <Entries query={query} />}</Spotlight.ActionsList>
      <div className={classes.paletteFoot}>
        <span className="row">
          <Keys keys="↑ ↓" /> move <Keys keys="↵" /> open
        </span>
        <span className="row">
          Paste an id to open it. Start with <Keys keys=">" /> for acts only
        </span>
      </div>
    </Spotlight.Root>
  );
}

function Entries({ query }: { query: string }) {
  const isActsOnly = query.startsWith(">");
  const text = query.replace(/^>/, "").trim();
  const [asked] = useDebouncedValue(text, 150);
  const navigate = useNavigate();
  const go = (to: string) => () => void navigate({ href: to });
  const role = useRole();
  const mayWrite = useMay("applications:write");
  const maySend = useMay("messages:write");
  const mayAlert = useMay("alerts:write");
  const { data: applications = [] } = useQuery(applicationChoicesQuery(asked));
  const { data: problems } = useQuery({ ...problemsQuery, staleTime: 10_000 });
  const id = parseId(text);
  const matches = (label: string) => label.toLowerCase().includes(text.toLowerCase());

  const entries: Entry[] = [];
  let needs = 0;
  if (id !== null) {
    entries.push(
      {
        key: "m",
        group: "Go to",
        icon: IconMail,
        label: `Message ${id}`,
        run: go(`/dashboard/messages/${id}`),
      },
      {
        key: "a",
        group: "Go to",
        icon: IconApps,
        label: `Application ${id}`,
        run: go(`/dashboard/applications/${id}`),
      },
    );
  }
  for (const problem of isActsOnly ? [] : (problems?.problems ?? [])) {
    const { application_id: appId, id: endpointId } = problem.subject;
    const { name, detail } = subjectWords(problem);
    if (problem.subject.kind !== "endpoint" || !(matches(name) || matches(detail)) || needs === MAX_NEEDS)
      continue;
    needs += 1;
    const state = problemState(problem);
    entries.push({
      key: endpointId ?? detail,
      group: "Needs you",
      icon: state.icon,
      label: name,
      detail: `${detail}, ${state.word.toLowerCase()}, ${waitingWords(problem)}`,
      run: go(`/dashboard/endpoints/${appId ?? ""}/${endpointId ?? ""}`),
    });
  }
  if (!isActsOnly) {
    for (const place of PLACES.filter((one) => isOpenTo(role, one) && matches(one.label))) {
      entries.push({
        key: place.to,
        group: "Go to",
        icon: place.icon,
        label: place.label,
        run: go(place.to),
      });
    }
    for (const application of text === "" ? [] : applications.slice(0, 8)) {
      entries.push({
        key: application.id,
        group: "Go to",
        icon: IconApps,
        label: application.name,
        detail: application.uid ?? "application",
        run: go(`/dashboard/applications/${application.id}`),
      });
    }
  }
  const acts: Entry[] = [
    ...(maySend
      ? [
          {
            key: "send",
            group: "Do" as const,
            icon: IconSend,
            label: "Send a message…",
            run: go("/dashboard/messages?send=1"),
          },
        ]
      : []),
    ...(mayWrite
      ? [
          {
            key: "app",
            group: "Do" as const,
            icon: IconPlus,
            label: "Create an application…",
            run: go("/dashboard/applications?create=1"),
          },
          {
            key: "type",
            group: "Do" as const,
            icon: IconPlus,
            label: "Create an event type…",
            run: go("/dashboard/event-types?create=1"),
          },
        ]
      : []),
    ...(mayAlert
      ? [
          {
            key: "rule",
            group: "Do" as const,
            icon: IconPlus,
            label: "Create an alert rule…",
            run: go("/dashboard/alerts?tab=rules&create=1"),
          },
          {
            key: "channel",
            group: "Do" as const,
            icon: IconPlus,
            label: "Add a notification channel…",
            run: go("/dashboard/alerts?tab=channels&create=1"),
          },
        ]
      : []),
  ];
  entries.push(...acts.filter((act) => matches(act.label)));
  if (entries.length === 0)
    return <Spotlight.Empty>Nothing has this name. Messages are found by their id.</Spotlight.Empty>;
  return (["Needs you", "Go to", "Do"] as const).map((group) => {
    const inGroup = entries.filter((entry) => entry.group === group);
    return inGroup.length === 0 ? null : (
      <Spotlight.ActionsGroup key={group} label={group}>
        {inGroup.map(({ key, icon: Icon, label, detail, run }) => (
          <Spotlight.Action key={key} label={label} onClick={run} className={classes.paletteItem}>
            <span className="row grow">
              <Icon size={17} stroke={1.7} />
              <span className="name">{label}</span>
              {detail !== undefined && <span className="small ink-3 cut">{detail}</span>}
            </span>
          </Spotlight.Action>
        ))}
      </Spotlight.ActionsGroup>
    );
  });
}
