// Swagger UI as it comes from the package swagger-ui-dist 5.35.0 lies in swagger-ui/. For another version,
// replace those files. Nothing is fetched from elsewhere, and nothing told to others.
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
