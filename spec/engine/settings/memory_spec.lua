-- The shares of memory_bytes.

local settings = require "settings_test"

local MIB = 1 << 20

describe("the shares of memory_bytes", function()
  it("are no more than there is, however many projections", function()
    for _, bytes in ipairs { 64 * MIB, 192 * MIB, 4096 * MIB } do
      for _, slots in ipairs { 1, 2, 16 } do
        for _, projections in ipairs { 0, 1, 2, 20, 1000 } do
          local shares = settings.shares(bytes, slots, projections)
          local used = math.max(1, math.min(slots, projections))
          local sum = used * (2 * shares.batch + 2 * shares.touched
            + shares.models) + shares.look
            + 1024 * (shares.event_pages_kib + 3 * shares.model_pages_kib)
          if projections > slots then
            sum = sum + projections * shares.idle_models
          end
          assert.is_true(sum <= bytes, sum .. " of " .. bytes)
          assert.is_true(sum > bytes * 3 // 4, sum .. " of " .. bytes)
        end
      end
    end
  end)

  it("hold batches of 50,000 small events by default", function()
    local shares = settings.shares(192 * MIB, 2, 1)
    assert.is_true(shares.batch > 50000 * 500)
  end)

  it("leave room for a batch where there is little", function()
    local shares = settings.shares(4096, 16, 1000)
    assert.is_true(shares.batch >= 65536)
    assert.is_true(shares.touched >= 65536)
    assert.is_true(shares.models < 4096)
  end)
end)
