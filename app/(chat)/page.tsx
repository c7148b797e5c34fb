import { FreshChat } from "@/components/chat/fresh-chat";

export default function NewChatPage() {
  return <FreshChat />;
}
