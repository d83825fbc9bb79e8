/** Jobs: recover and replay, with a dry run before they start. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";
import type { EndpointPath } from "./endpoints";

export type Job = Schemas["Job"];
export type DryRun = Schemas["DryRun"];

/** Interval at which a running job is asked for its progress. */
export const JOB_POLL_MS = 1000;

export function jobsQuery(status: "" | Job["status"]) {
  return infiniteQueryOptions({
    queryKey: ["jobs", "list", status],
    queryFn: ({ pageParam }) =>
      answered(
        api.GET("/v1/jobs", {
          params: {
            query: { limit: 50, ...(status ? { status } : {}), ...(pageParam ? { cursor: pageParam } : {}) },
          },
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => (page.has_more ? (page.cursor ?? undefined) : undefined),
  });
}

/** Running jobs, for the count in the navigation. */
export const runningJobsQuery = queryOptions({
  queryKey: ["jobs", "running"],
  queryFn: () => answered(api.GET("/v1/jobs", { params: { query: { limit: 100, status: "running" } } })),
  select: (page) => page.jobs,
});

export function jobQuery(id: string) {
  return queryOptions({
    queryKey: ["jobs", "one", id],
    queryFn: () => answered(api.GET("/v1/jobs/{id}", { params: { path: { id } } })),
    select: (answer) => answer.job,
  });
}

export function cancelJob(id: string) {
  return answered(api.POST("/v1/jobs/{id}/cancel", { params: { path: { id } } }));
}

/** Job to start: recover what was missed, or replay what was sent. */
export type JobRequest =
  { kind: "recover"; body: Schemas["Recover"] } | { kind: "replay"; body: Schemas["Replay"] };

async function post(path: EndpointPath, request: JobRequest, isDryRun: boolean) {
  const params = { path, ...(isDryRun ? { query: { dry_run: "1" } } : {}) };
  if (request.kind === "recover") {
    return answered(
      api.POST("/v1/applications/{appId}/endpoints/{id}/recover", { params, body: request.body }),
    );
  }
  return answered(api.POST("/v1/applications/{appId}/endpoints/{id}/replay", { params, body: request.body }));
}

/** Counts what a job would send, without sending anything. */
export async function dryRun(path: EndpointPath, request: JobRequest): Promise<DryRun> {
  const answer = await post(path, request, true);
  if (!("dry_run" in answer) || !answer.dry_run) throw new Error("The server counted nothing.");
  return answer.dry_run as DryRun;
}

export async function startJob(path: EndpointPath, request: JobRequest): Promise<Job> {
  const answer = await post(path, request, false);
  if (!("job" in answer) || !answer.job) throw new Error("The server started no job.");
  return answer.job as Job;
}
