// Calls one function of the SDK. On stdin, as JSON: its name, and the options that it takes; on stdout what it answers.
import * as sdk from "@dokploy/sdk";
import { text } from "node:stream/consumers";

const { name, options } = JSON.parse(await text(process.stdin));
const { data, error, response } = await sdk[name](options);
process.stdout.write(JSON.stringify({ data, error, status: response?.status }));
