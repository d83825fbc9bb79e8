/** Saved views of lists: those that the environment shares, and the user's own. */
import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export type View = Schemas["View"];
export type NewView = Schemas["CreateView"];
export type ViewChange = Schemas["UpdateView"];

/** Pages that are read at most: the server keeps 100 shared views, and 100 of a user's own. */
const MAX_PAGES = 2;

/** Views of one list, oldest first, so that a new one comes last. */
export function viewsQuery(page: string) {
  return queryOptions({
    queryKey: ["views", page],
    queryFn: async ({ signal }): Promise<View[]> => {
      const views: View[] = [];
      let cursor: string | null | undefined;
      for (let read = 0; read < MAX_PAGES; read += 1) {
        const query = { page, limit: 100, ...(cursor ? { cursor } : {}) };
        const answer: Schemas["ViewList"] = await answered(
          api.GET("/v1/views", { params: { query }, signal }),
        );
        views.push(...answer.views);
        cursor = answer.has_more ? answer.cursor : null;
        if (!cursor) break;
      }
      return views.reverse();
    },
    staleTime: 60_000,
  });
}

/** What can be done to a view. The list is read again afterwards. */
export type ViewAct =
  | { act: "create"; body: NewView }
  | { act: "update"; id: string; body: ViewChange }
  | { act: "delete"; id: string };

/** Returns the mutation that acts on a view. */
export function useViewAct() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (wanted: ViewAct): Promise<void> => {
      await run(wanted);
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["views"] }),
  });
}

function run(wanted: ViewAct): Promise<unknown> {
  switch (wanted.act) {
    case "create":
      return answered(api.POST("/v1/views", { body: wanted.body }));
    case "update":
      return answered(
        api.PATCH("/v1/views/{id}", { params: { path: { id: wanted.id } }, body: wanted.body }),
      );
    case "delete":
      return answered(api.DELETE("/v1/views/{id}", { params: { path: { id: wanted.id } } }));
  }
}
