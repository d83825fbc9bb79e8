/** Views of messages: tabs, and what can be done with the selected one. */
import { UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useMay, useSession } from "@/api/session";
import { useViewAct, viewsQuery } from "@/api/views";
import { ActError } from "@/components/feedback/ErrorState";
import { Views } from "@/components/filters/Views";
import type { Filters } from "@/lib/filters";
import { SaveView } from "./SaveView";
import { useViewCounts } from "./view-counts";
import {
  filtersOf,
  type MessageView,
  newView,
  PAGE,
  readBrowserViews,
  viewOf,
  viewsOf,
  withoutBrowserView,
  writeBrowserViews,
} from "./views";

interface Props {
  filters: Filters;
  onChange: (filters: Filters) => void;
}

export function MessageViews({ filters, onChange }: Props) {
  const { user } = useSession();
  const onServer = useQuery(viewsQuery(PAGE));
  const [stored, setStored] = useState(readBrowserViews);
  const views = viewsOf(onServer.data ?? [], user.id, stored);
  const current = viewOf(filters, views);
  const counts = useViewCounts(views);
  const open = (name: string) => {
    const view = views.find((one) => one.name === name);
    if (view) onChange(filtersOf(view));
  };
  const dropFromBrowser = (name: string) => {
    const left = withoutBrowserView(stored, name);
    writeBrowserViews(left);
    setStored(left);
  };
  return (
    <Views
      label="Views"
      views={views.map((view) => ({
        ...view,
        isShared: view.kind === "shared",
        count: counts.get(view.name),
      }))}
      selected={current?.name ?? null}
      onSelect={open}
      aside={
        current === undefined ? (
          <>
            Filters differ from every view
            <UnstyledButton className="link small" onClick={() => onChange({})}>
              Reset
            </UnstyledButton>
            {onServer.data && <SaveView filters={filters} views={views} />}
          </>
        ) : (
          current.kind !== "built-in" && (
            <Selected
              key={current.name}
              view={current}
              onDropFromBrowser={() => dropFromBrowser(current.name)}
            />
          )
        )
      }
    />
  );
}

const SEEN_BY = {
  "built-in": "",
  own: "Only you see this view",
  shared: "Shared in this environment",
  browser: "Only in this browser",
};

/** Who sees the selected view, and the acts that the user may do with it. */
function Selected({ view, onDropFromBrowser }: { view: MessageView; onDropFromBrowser: () => void }) {
  const act = useViewAct();
  const mayShare = useMay("views:write");
  const { id } = view;
  const mayChange = view.kind === "own" || (view.kind === "shared" && mayShare);
  return (
    <>
      <ActError error={act.error} />
      {SEEN_BY[view.kind]}
      {view.kind === "browser" && (
        <>
          <UnstyledButton
            className="link small"
            onClick={() =>
              act.mutate(
                { act: "create", body: newView(view.label, view.search, false) },
                { onSuccess: onDropFromBrowser },
              )
            }
          >
            Move to the server
          </UnstyledButton>
          <UnstyledButton className="link small" onClick={onDropFromBrowser}>
            Remove the view
          </UnstyledButton>
        </>
      )}
      {id !== undefined && view.kind === "own" && mayShare && (
        <UnstyledButton
          className="link small"
          onClick={() => act.mutate({ act: "update", id, body: { shared: 1 } })}
        >
          Share in this environment
        </UnstyledButton>
      )}
      {id !== undefined && view.kind === "shared" && view.isMine && mayShare && (
        <UnstyledButton
          className="link small"
          onClick={() => act.mutate({ act: "update", id, body: { shared: 0 } })}
        >
          Keep to yourself
        </UnstyledButton>
      )}
      {id !== undefined && mayChange && (
        <UnstyledButton className="link small" onClick={() => act.mutate({ act: "delete", id })}>
          Remove the view
        </UnstyledButton>
      )}
    </>
  );
}
