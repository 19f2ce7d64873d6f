curl --request GET \
  --url "http://localhost:8080/api/agents/finance_agent/runs/run_abc123/status" \
  --header "Authorization: Bearer {token}"

curl --request GET \
  --url "http://localhost:8080/api/agents/finance_agent/runs/status?runIds=run_abc123,run_def456,run_ghi789" \
  --header "Authorization: Bearer {token}"
