/** Members with their roles, and invitations. */
import { Button, Modal, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { queryClient } from "@/api/client";
import { sentenceOf } from "@/api/errors";
import {
  createInvitation,
  deleteInvitation,
  invitationsQuery,
  type Member,
  membersQuery,
  removeMember,
  updateMember,
} from "@/api/identity";
import { useMay, useRole, useSession } from "@/api/session";
import { Banner } from "@/components/feedback/Banner";
import { ConfirmDialog } from "@/components/feedback/ConfirmDialog";
import { Loaded } from "@/components/feedback/Loaded";
import { toast } from "@/components/feedback/toast";
import { Card } from "@/components/page/Card";
import { IdCopy } from "@/components/status/IdCopy";
import { PlainTable } from "@/components/table/PlainTable";
import { RelativeTime } from "@/components/time/RelativeTime";
import type { Role } from "@/lib/permissions";
import { SaveForm } from "./form";

const ROLES = [
  { value: "viewer", label: "Viewer: reads" },
  { value: "developer", label: "Developer: changes and sends" },
  { value: "admin", label: "Admin: members, environments, secrets" },
  { value: "owner", label: "Owner: everything" },
];

export function Members() {
  const session = useSession();
  const orgId = session.org_id ?? "";
  const members = useQuery(membersQuery(orgId));
  const invitations = useQuery(invitationsQuery(orgId));
  const mayWrite = useMay("members:write");
  const role = useRole();
  const [isInviting, setInviting] = useState(false);
  const [removed, setRemoved] = useState<Member | null>(null);
  const roles = ROLES.filter((one) => role === "owner" || one.value !== "owner");
  const refresh = () =>
    Promise.all([
      queryClient.invalidateQueries({ queryKey: ["members"] }),
      queryClient.invalidateQueries({ queryKey: ["invitations"] }),
    ]);
  const change = async (member: Member, next: string | null) => {
    try {
      await updateMember(orgId, member.user_id, { role: next as Role });
      toast(`${member.name || member.email} is ${next}.`);
    } catch (error) {
      toast(sentenceOf(error));
    }
    await refresh();
  };
  return (
    <>
      <Card title="Members" aside={mayWrite && <Button onClick={() => setInviting(true)}>Invite…</Button>}>
        <Loaded what="Members" query={members}>
          {(page) => (
            <PlainTable
              label="Members"
              rows={page.members}
              idOf={(member) => member.user_id}
              columns={[
                {
                  head: "Member",
                  cell: (member) => <span className="name">{member.name || member.email}</span>,
                },
                { head: "Email", cell: (member) => member.email },
                {
                  head: "Second factor",
                  cell: (member) => (member.second_factor === 1 ? "on" : <span className="ink-3">off</span>),
                },
                {
                  head: "Role",
                  cell: (member) =>
                    mayWrite && (role === "owner" || member.role !== "owner") ? (
                      <Select
                        aria-label={`Role of ${member.email}`}
                        w={150}
                        data={roles.map((one) => ({
                          value: one.value,
                          label: one.label.split(":")[0] ?? one.value,
                        }))}
                        value={member.role}
                        onChange={(next) => void change(member, next)}
                      />
                    ) : (
                      member.role
                    ),
                },
                {
                  head: "Acts",
                  cell: (member) =>
                    (mayWrite || member.user_id === session.user.id) && (
                      <Button onClick={() => setRemoved(member)}>
                        {member.user_id === session.user.id ? "Leave…" : "Remove…"}
                      </Button>
                    ),
                },
              ]}
            />
          )}
        </Loaded>
      </Card>
      {(invitations.data?.invitations.length ?? 0) > 0 && (
        <Card title="Invitations">
          <PlainTable
            label="Invitations"
            rows={invitations.data?.invitations ?? []}
            idOf={(one) => one.id}
            columns={[
              { head: "Email", cell: (one) => <span className="name">{one.email}</span> },
              { head: "Role", cell: (one) => one.role },
              { head: "By", cell: (one) => one.invited_by },
              { head: "Expires", cell: (one) => <RelativeTime value={one.expires_at} /> },
              {
                head: "Acts",
                cell: (one) =>
                  mayWrite && (
                    <Button onClick={() => void deleteInvitation(orgId, one.id).then(refresh)}>
                      Withdraw
                    </Button>
                  ),
              },
            ]}
          />
        </Card>
      )}
      <Modal
        opened={isInviting}
        onClose={() => setInviting(false)}
        title="Invite a member"
        closeOnClickOutside={false}
      >
        {isInviting && <InviteForm orgId={orgId} roles={roles} onDone={refresh} />}
      </Modal>
      <ConfirmDialog
        isOpen={removed !== null}
        onClose={() => setRemoved(null)}
        title={
          removed?.user_id === session.user.id ? "Leave the organization?" : `Remove ${removed?.email ?? ""}?`
        }
        verb={removed?.user_id === session.user.id ? "Leave" : "Remove"}
        isDangerous
        act={async () => {
          if (removed) await removeMember(orgId, removed.user_id);
          await refresh();
        }}
      >
        Access ends at once. API keys that the member created belong to the organization and stay.
      </ConfirmDialog>
    </>
  );
}

function InviteForm({
  orgId,
  roles,
  onDone,
}: {
  orgId: string;
  roles: { value: string; label: string }[];
  onDone: () => unknown;
}) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState("developer");
  const [link, setLink] = useState<string | null>(null);
  const [isSent, setSent] = useState(false);
  if (isSent) {
    return link === null ? (
      <Banner tone="plain">The invitation is sent to {email}. Its link is valid for seven days.</Banner>
    ) : (
      <div className="stack">
        <Banner tone="careful">
          This installation sends no mail. Give this link to {email}; it is shown once and valid for seven
          days.
        </Banner>
        <IdCopy value={link} isFull label="link" />
      </div>
    );
  }
  return (
    <SaveForm
      verb="Invite"
      save={async () => {
        const answer = await createInvitation(orgId, { email, role: role as Role });
        setLink(answer.url ?? null);
        setSent(true);
        onDone();
      }}
    >
      <TextInput
        label="Email"
        type="email"
        required
        data-autofocus
        value={email}
        onChange={(event) => setEmail(event.currentTarget.value)}
      />
      <Select label="Role" data={roles} value={role} onChange={(value) => setRole(value ?? "developer")} />
    </SaveForm>
  );
}
