import { serve } from "./lambda.mjs";
import { PROJECT_ADMIN, caller, get, refuse, reply, shown } from "./tenure.mjs";

await serve(async (event) => {
  if (!(await caller(event, PROJECT_ADMIN))) return refuse(401, "AUTHENTICATION_REQUIRED");
  const item = await get(`CUSTOMER#${event.pathParameters.id}`, "A");
  return item ? reply(200, shown(item)) : refuse(404, "CUSTOMER_NOT_FOUND");
});
