/** Event catalogue: each type with its fields, an example, and who gets it. */
import { useQuery } from "@tanstack/react-query";
import { exampleOf, fieldsOf } from "@/lib/json/schema-example";
import { shortUrl } from "@/lib/words/ids";
import { endpointsQuery, type EventType, eventTypesQuery } from "../api";
import { useWords } from "../i18n";
import { Card, Code, Empty, LoadError, Loading } from "../parts";
import { hrefOf } from "../place";
import classes from "../portal.module.css";
import { takes } from "./filter-types";

export function Catalogue({ name }: { name: string | undefined }) {
  const { t } = useWords();
  const types = useQuery(eventTypesQuery);
  if (!types.data) {
    return types.error ? (
      <LoadError error={types.error} onRetry={() => void types.refetch()} />
    ) : (
      <Loading rows={6} />
    );
  }
  const chosen = types.data.find((type) => type.name === name);
  if (name !== undefined) return chosen ? <TypePage type={chosen} /> : <Empty title={t("notFound")} />;
  return (
    <>
      <h1>{t("catalogue")}</h1>
      <Card>
        {types.data.length === 0 && <Empty title={t("noTypes")} />}
        {types.data.map((type) => (
          <a
            key={type.name}
            href={hrefOf(["catalogue", type.name])}
            className={`${classes.row} ${classes.ofText}`}
          >
            <span>
              <code className="name">{type.name}</code>
              {type.description && (
                <>
                  <br />
                  <span className="small ink-2">{type.description}</span>
                </>
              )}
            </span>
          </a>
        ))}
      </Card>
    </>
  );
}

function TypePage({ type }: { type: EventType }) {
  const { t } = useWords();
  const endpoints = useQuery(endpointsQuery);
  const schema = schemaOf(type);
  const fields = fieldsOf(schema);
  const getting = (endpoints.data ?? []).filter((endpoint) => takes(endpoint, type));
  return (
    <>
      <div className={classes.heading}>
        <nav className={`small ink-3 ${classes.crumbs}`}>
          <a href={hrefOf(["catalogue"])}>{t("catalogue")}</a>
          <span>{type.name}</span>
        </nav>
        <h1>{type.name}</h1>
        {type.description && <p className="ink-2">{type.description}</p>}
      </div>
      <div className={classes.columns}>
        <div className={classes.column}>
          <Card title={t("schema")}>
            {fields.length === 0 ? (
              <Empty title={t("noSchema")} />
            ) : (
              <div className={classes.scroll}>
                <table className={classes.fields}>
                  <thead>
                    <tr>
                      <th>{t("field")}</th>
                      <th>{t("fieldType")}</th>
                      <th>{t("description")}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {fields.map((field) => (
                      <tr key={field.path}>
                        <td>
                          <code>{field.path}</code>
                        </td>
                        <td className="small">
                          {field.type}
                          {field.isRequired && <span className="ink-3">, {t("required")}</span>}
                        </td>
                        <td className="small ink-2">{field.description}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
          </Card>
        </div>
        <div className={classes.column}>
          {schema !== null && (
            <Card title={t("example")}>
              <Code text={JSON.stringify(exampleOf(schema), null, 2)} />
            </Card>
          )}
          <Card title={t("whoGets")}>
            {getting.length === 0 && <Empty title={t("nobodyGets")} />}
            {getting.map((endpoint) => (
              <a key={endpoint.id} href={hrefOf(["endpoints", endpoint.id])} className={classes.row}>
                {endpoint.description || shortUrl(endpoint.url)}
              </a>
            ))}
          </Card>
        </div>
      </div>
    </>
  );
}

function schemaOf(type: EventType): unknown {
  try {
    return type.json_schema ? (JSON.parse(type.json_schema) as unknown) : null;
  } catch {
    return null;
  }
}
