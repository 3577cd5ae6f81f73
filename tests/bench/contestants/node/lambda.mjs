// Lambda's Runtime API, as thin as it can be: AWS's own client for it costs more.
import http from "node:http";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const path = "/2018-06-01/runtime/invocation";

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path, agent }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () =>
        resolve({ headers: response.headers, text: Buffer.concat(chunks).toString() }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

export async function serve(handle) {
  for (;;) {
    const event = await call("GET", `${path}/next`);
    const id = event.headers["lambda-runtime-aws-request-id"];
    try {
      const answer = await handle(JSON.parse(event.text));
      await call("POST", `${path}/${id}/response`, JSON.stringify(answer));
    } catch (error) {
      await call("POST", `${path}/${id}/error`, JSON.stringify({ errorMessage: String(error) }));
    }
  }
}
