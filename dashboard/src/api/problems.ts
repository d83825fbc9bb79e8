/** What is wrong now, as the server computes it for the dashboard, the command line and alerts alike. */
import { queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export type Problem = Schemas["Problem"];
export type ProblemList = Schemas["ProblemList"];

export const problemsQuery = queryOptions({
  queryKey: ["problems"],
  queryFn: () => answered(api.GET("/v1/problems")),
});
