/** Form of an endpoint: a new one, or changes. Only what changed is sent. */
import { Button, Drawer, MultiSelect, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ApiError } from "@/api/errors";
import { createEndpoint, type Endpoint, eventTypesQuery, updateEndpoint } from "../api";
import { errorSentence } from "../errors";
import { useWords } from "../i18n";
import { ErrorText } from "../parts";
import { goTo, hrefOf } from "../place";
import { typesOf } from "./filter-types";

interface Props {
  endpoint?: Endpoint;
  isOpen: boolean;
  onClose: () => void;
}

export function EndpointForm({ endpoint, isOpen, onClose }: Props) {
  const { t } = useWords();
  return (
    <Drawer
      opened={isOpen}
      onClose={onClose}
      title={endpoint === undefined ? t("addEndpoint") : t("edit")}
      closeButtonProps={{ "aria-label": t("close") }}
    >
      {isOpen && <Fields {...(endpoint === undefined ? {} : { endpoint })} onClose={onClose} />}
    </Drawer>
  );
}

/** Returns the headers of a text with one a line; null if a line is none. */
export function headersOf(text: string): Record<string, string> | null {
  const headers: Record<string, string> = {};
  for (const line of text.split("\n").filter((line) => line.trim() !== "")) {
    const [, name, value] = /^\s*([^\s:]+)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined || value === undefined || value === "") return null;
    headers[name] = value;
  }
  return headers;
}

function Fields({ endpoint, onClose }: { endpoint?: Endpoint; onClose: () => void }) {
  const words = useWords();
  const { t } = words;
  const client = useQueryClient();
  const types = useQuery(eventTypesQuery);
  const [name, setName] = useState(endpoint?.description ?? "");
  const [url, setUrl] = useState(endpoint?.url ?? "");
  const [chosen, setChosen] = useState(endpoint ? typesOf(endpoint) : []);
  const [headerText, setHeaderText] = useState("");
  const headers = headersOf(headerText);
  const saving = useMutation({
    mutationFn: () => {
      const own = headerText.trim() === "" ? {} : { headers: headers ?? {} };
      const body = { url: url.trim(), description: name.trim() || null, filter_types: chosen, ...own };
      return endpoint === undefined ? createEndpoint(body) : updateEndpoint(endpoint.id, body);
    },
    onSuccess: async (answer) => {
      await client.invalidateQueries();
      onClose();
      if (endpoint === undefined) goTo(hrefOf(["endpoints", answer.endpoint.id]));
    },
  });
  const isOfUrl = saving.error instanceof ApiError && saving.error.details["field"] === "url";
  const known = (types.data ?? []).map((type) => type.name);
  function submit(event: FormEvent) {
    event.preventDefault();
    if (headers !== null) saving.mutate();
  }
  return (
    <form className="stack" onSubmit={submit}>
      <TextInput
        label={t("url")}
        description={t("urlHint")}
        placeholder="https://"
        required
        type="url"
        value={url}
        error={isOfUrl ? errorSentence(saving.error, words) : undefined}
        onChange={(event) => setUrl(event.currentTarget.value)}
        data-autofocus
      />
      <TextInput
        label={t("name")}
        description={t("nameHint")}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <MultiSelect
        label={t("types")}
        description={t("typesHint")}
        data={[...new Set([...known, ...chosen])]}
        value={chosen}
        onChange={setChosen}
        searchable
        clearable
      />
      <Textarea
        label={t("headers")}
        description={t("headersHint")}
        autosize={false}
        rows={3}
        value={headerText}
        error={headers === null ? t("headersInvalid") : undefined}
        onChange={(event) => setHeaderText(event.currentTarget.value)}
      />
      {!isOfUrl && <ErrorText error={saving.error} />}
      <div className="row row-end">
        <Button onClick={onClose}>{t("cancel")}</Button>
        <Button type="submit" variant="filled" loading={saving.isPending} disabled={headers === null}>
          {endpoint === undefined ? t("create") : t("save")}
        </Button>
      </div>
    </form>
  );
}
