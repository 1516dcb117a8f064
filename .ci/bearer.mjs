// Preloaded into a client that cannot be told to: sends the token in $BEARER with every request,
// whether made with fetch, undici or node:http.
import http from "node:http";
import { createRequire } from "node:module";

const { Agent, setGlobalDispatcher } = createRequire(process.argv[1])("undici");
const authorization = `Bearer ${process.env.BEARER}`;

const withToken = ({ headers, ...options }) => ({
  ...options,
  headers: Array.isArray(headers)
    ? [...headers, "authorization", authorization]
    : { ...headers, authorization },
});

setGlobalDispatcher(
  new Agent().compose(
    (dispatch) => (options, handler) => dispatch(withToken(options), handler),
  ),
);

const request = http.request;
http.request = (options, answered) => request(withToken(options), answered);
