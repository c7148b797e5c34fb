import type { Metadata } from "next";
import { notFound, redirect } from "next/navigation";
import { cache } from "react";
import { currentUser } from "@/app/session";
import { Conversation } from "@/components/chat/conversation/conversation";
import { findChat } from "@/lib/services/chats/chats";
import { listMessages } from "@/lib/services/chats/messages";

type ChatPageProps = { params: Promise<{ id: string }> };

const open = cache(async (id: string) => {
  const user = await currentUser();
  if (!user) redirect("/sign-in");
  return { user, chat: await findChat(user.id, id) };
});

export async function generateMetadata({ params }: ChatPageProps): Promise<Metadata> {
  const { chat } = await open((await params).id);
  return { title: chat?.title ?? "Not found" };
}

export default async function ChatPage({ params }: ChatPageProps) {
  const { user, chat } = await open((await params).id);
  if (!chat) notFound();
  return <Conversation key={chat.id} chatId={chat.id} initial={await listMessages(user.id, chat.id)} />;
}
