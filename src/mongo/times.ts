/** Longest time that MongoDB may spend on one query, in milliseconds: QUERY_TIME of the environment. */
export let QUERY_TIME = 2_000;
export const useQueryTime = (time: number): void => {
  QUERY_TIME = time;
};
