local helper = require "spec.helper"
local postgres = require "spec.postgres_server"

-- What comes of the specs that need a server where none can be had.
local function without_server()
  local tally = helper.tmpdir() .. "/tally"
  local code, out, err = helper.run("env ${PRELOAD:+LD_PRELOAD=$PRELOAD} "
    .. "lua5.4 /usr/bin/busted --ignore-lua -o spec.tally --tags=postgres "
    .. "$(grep -rlE --include='*_spec.lua' '#postgres|kit.kinds' spec)", {
    cwd = helper.root,
    env = {
      LUNETTE_SPEC_POSTGRES = "!needs a server, and there is none today",
      LUNETTE_TALLY = tally,
      LUNETTE_BUILD = helper.build,
      PRELOAD = helper.preload,
    },
  })
  assert.equal(0, code, out .. err)
  local outcomes = { pending = 0, passed = 0 }
  for word in io.lines(tally) do
    outcomes[word] = (outcomes[word] or 0) + 1
  end
  return outcomes, out
end

describe("the server of the specs", function()
  it("says why it cannot be started #postgres", function()
    local server, reason = postgres.start()
    if not server then
      pending(reason)
      return
    end
    local none, why = postgres.own { settings = { max_connections = "many" } }
    assert.is_nil(none)
    assert.matches("none can be started: .* contains errors", why)
  end)

  it("is what every spec that needs one waits for, with the reason", function()
    local outcomes, out = without_server()
    local _, reasons = out:gsub("there is none today", "")
    assert.equal(0, outcomes.passed, out)
    assert.is_true(outcomes.pending > 15)
    assert.equal(outcomes.pending, reasons)
  end)
end)
