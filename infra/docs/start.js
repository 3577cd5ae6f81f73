// Swagger UI as it comes from the package swagger-ui-dist 5.35.0 lies in swagger-ui/. For another version,
// replace those files. Nothing is fetched from elsewhere, and nothing told to others.

// Gives each request that takes an idempotency key one of its own, unless one was typed.
const freshIdempotencyKeys = {
  statePlugins: {
    spec: {
      wrapActions: {
        executeRequest: (execute) => (request) => {
          const name = "Idempotency-Key";
          const taken = request.operation.get("parameters")?.some((parameter) => parameter.get("name") === name);
          const key = taken && { [`header.${name}`]: `"${crypto.randomUUID()}"` };
          const typed = Object.entries(request.parameters ?? {}).filter(([, value]) => value);
          return execute({ ...request, parameters: { ...key, ...Object.fromEntries(typed) } });
        },
      },
    },
  },
};

// Sends the token of a login with every request after it.
function useSession(response) {
  if (response.ok && new URL(response.url).pathname === "/auth/login") {
    window.ui.preauthorizeApiKey("bearer", response.obj.token);
  }
  return response;
}

window.ui = SwaggerUIBundle({
  url: "/openapi.yaml",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  filter: true,
  plugins: [freshIdempotencyKeys],
  responseInterceptor: useSession,
  showExtensions: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
