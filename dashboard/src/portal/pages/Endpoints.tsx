/** The customer's endpoints, each with its last day, and mail about them. */
import { Button } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useQueries, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { bucketsOfHalfHours } from "@/components/data/health";
import { StatusBadge } from "@/components/status/StatusBadge";
import { shortUrl } from "@/lib/words/ids";
import { type Endpoint, endpointsQuery, healthQuery } from "../api";
import { useMayChange } from "../capabilities";
import { useWords } from "../i18n";
import { Card, Empty, Health, LoadError, Loading } from "../parts";
import { hrefOf } from "../place";
import classes from "../portal.module.css";
import { endpointState } from "../states";
import { EndpointForm } from "./EndpointForm";
import { typesOf } from "./filter-types";
import { MailCard } from "./MailCard";

export function Endpoints() {
  const { t } = useWords();
  const endpoints = useQuery(endpointsQuery);
  const [isAdding, setAdding] = useState(false);
  const mayChange = useMayChange();
  const add = mayChange && (
    <Button variant="filled" leftSection={<IconPlus size={15} />} onClick={() => setAdding(true)}>
      {t("addEndpoint")}
    </Button>
  );
  return (
    <>
      <div className={classes.head}>
        <h1>{t("endpoints")}</h1>
        {add}
      </div>
      <Card>
        {endpoints.data ? (
          endpoints.data.length === 0 ? (
            <Empty title={t("addFirst")} action={add}>
              {mayChange ? t("addFirstText") : t("noEndpointsText")}
            </Empty>
          ) : (
            <Rows endpoints={endpoints.data} />
          )
        ) : endpoints.error ? (
          <LoadError error={endpoints.error} onRetry={() => void endpoints.refetch()} />
        ) : (
          <Loading />
        )}
      </Card>
      <MailCard />
      <EndpointForm isOpen={isAdding} onClose={() => setAdding(false)} />
    </>
  );
}

function Rows({ endpoints }: { endpoints: Endpoint[] }) {
  const { t, percent } = useWords();
  const health = useQueries({ queries: endpoints.map((endpoint) => healthQuery(endpoint.id)) });
  return endpoints.map((endpoint, index) => {
    const found = health[index]?.data;
    const types = typesOf(endpoint);
    return (
      <a
        key={endpoint.id}
        href={hrefOf(["endpoints", endpoint.id])}
        className={`${classes.row} ${classes.ofEndpoint}`}
      >
        <span className="cut">
          <span className="name">{endpoint.description || shortUrl(endpoint.url)}</span>
          <br />
          <span className="small ink-3 mono">{shortUrl(endpoint.url)}</span>
        </span>
        <StatusBadge state={endpointState(endpoint, found, t)} />
        <span>{found && <Health buckets={bucketsOfHalfHours(found.half_hours)} height={24} />}</span>
        <span className={`number ${classes.end}`}>
          {found?.success_rate === null || found?.success_rate === undefined
            ? ""
            : percent(found.success_rate)}
        </span>
        <span className={`small ink-2 ${classes.end}`}>
          {types.length === 0 ? t("allTypes") : t("typesCount", { count: types.length })}
        </span>
      </a>
    );
  });
}
