/** Latest messages that an endpoint gets. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useLive } from "@/api/live";
import { messagesQuery } from "@/api/messages";
import { EmptyState } from "@/components/feedback/EmptyState";
import { ErrorState } from "@/components/feedback/ErrorState";
import { Skeletons } from "@/components/feedback/Skeletons";
import { Card } from "@/components/page/Card";
import { MessageTable } from "../messages/MessageTable";

export function EndpointMessages({ endpointId }: { endpointId: string }) {
  const list = useInfiniteQuery(messagesQuery({ endpoint_id: [endpointId] }));
  useLive("messages", () => list.refetch());
  const messages = list.data?.pages[0]?.messages ?? [];
  return (
    <Card
      title="Latest messages"
      aside={
        <Link to="/dashboard/messages" search={{ endpoint_id: endpointId }}>
          Open in Messages
        </Link>
      }
    >
      {list.isError && <ErrorState what="Messages" error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Skeletons rows={8} />}
      {list.isSuccess && messages.length === 0 && (
        <EmptyState title="No message yet">Messages show up here as they are accepted.</EmptyState>
      )}
      {messages.length > 0 && <MessageTable messages={messages} endpointId={endpointId} />}
    </Card>
  );
}
