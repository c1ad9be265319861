/** A word with a capital initial, as in the names of operations and schemas: `books` is Books. */
export const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
