-- The peer in Lua: the same job as rust/src/lib.rs. The marks of the three constants below are replaced before it is put inline.
local bit = require("bit")
local tobit, bxor, rshift, band = bit.tobit, bit.bxor, bit.rshift, bit.band
local byte, match = string.byte, string.match
local SLOTS = 1024
local SERVICE = @SERVICE@
local SESSION = @SESSION@

local tables = {}
for service, targets in pairs(@TABLES@) do
  local slots, at = {}, 0
  for _, target in ipairs(targets) do
    for _ = 1, target[2] do
      slots[at * 633 % SLOTS] = target[1]
      at = at + 1
    end
  end
  tables[service] = { slots = slots, phase = 0 }
end

local function slot_of(key)
  local hash = 5381
  for i = 1, #key do
    hash = tobit(hash * 33 + byte(key, i))
  end
  hash = bxor(hash, rshift(hash, 15))
  hash = tobit(band(hash, 0xffff) * 0x2c1b + rshift(hash, 16) * 0x3c6f)
  return band(rshift(hash, 7), SLOTS - 1)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local t = tables[SERVICE or headers:get("x-service")]
  if t == nil then return end
  local slot
  if SESSION then
    local cookie = headers:get("cookie")
    local key = cookie and (match(cookie, "^sid=([^;]+)") or match(cookie, "; ?sid=([^;]+)"))
    if key then slot = slot_of(key) end
  end
  if slot == nil then
    slot = t.phase
    t.phase = band(slot + 1, SLOTS - 1)
  end
  headers:replace("x-ballast-target", t.slots[slot])
  handle:clearRouteCache()
end
