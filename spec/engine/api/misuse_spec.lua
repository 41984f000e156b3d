-- The public interface from many threads, in any order and with values that
-- make no sense, on two engines that share their stores.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"
local misuse = require "misuse_test"

local seed = helper.seed()

describe("the public interface, misused #threads, seed " .. seed, function()
  for _, kind in ipairs(kit.kinds) do
    it("answers with a code and words, " .. kind, function()
      if kit.missing(kind) then
        pending(kit.missing(kind))
        return
      end
      local stores = kit.stores(kind)
      local seen, wordless = misuse.run(stores.events, stores.models, seed, 80)
      assert.is_false(wordless)
      assert.is_true(seen.ok > 20 and seen.invalid > 20)
      assert.is_true(seen.not_found > 20)
    end)
  end
end)
