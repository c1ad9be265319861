/** The time limit of one query in MongoDB, in milliseconds: QUERY_TIME of the environment. */
export let QUERY_TIME = 2_000;
export const useQueryTime = (time: number): void => {
  QUERY_TIME = time;
};
