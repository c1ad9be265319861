import mongoose, { type mongo } from 'mongoose';
import { RATE_LIMITS } from '../../src/mongo/budget.ts';

/** A command that was sent to the database: its name and the collection that it is about. */
export interface Command {
  name: string;
  collection: unknown;
}

/**
 * The commands that this work sends, in their order; what the rate limits send now and then is left out. The connection
 * must have been made with `monitorCommands`.
 */
export async function commandsOf(work: () => Promise<unknown>): Promise<Command[]> {
  const client = mongoose.connection.getClient();
  const commands: Command[] = [];
  const note = ({ commandName: name, command }: mongo.CommandStartedEvent) =>
    void commands.push({ name, collection: command[name] });
  client.on('commandStarted', note);
  try {
    await work();
  } finally {
    client.off('commandStarted', note);
  }
  return commands.filter(({ collection }) => collection !== RATE_LIMITS);
}
