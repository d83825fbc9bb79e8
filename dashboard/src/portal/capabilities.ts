/** What the holder of the token may do. */
import { useQuery } from "@tanstack/react-query";
import { portalQuery } from "./api";

/** Returns whether the portal may change something; acts are absent where it may not. */
export function useMayChange(): boolean {
  const portal = useQuery(portalQuery);
  return portal.data !== undefined && !portal.data.portal.read_only;
}
