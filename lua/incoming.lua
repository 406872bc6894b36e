-- Refuses instances by the AE that sends them or by their modality, before Orthanc stores them.
--
-- Off until orthanc.json names it and says what to refuse (an empty or absent list refuses nothing):
--
--   "LuaScripts": ["/path/to/orthanc-deid/lua/incoming.lua"],
--   "OrthancDeidIncoming": {
--     "RefuseAets": ["OLDCT"],            // calling AE titles, exactly as they are; C-STORE only
--     "RefuseModalities": ["PR", "KO"]    // values of Modality (0008,0060); by every way in
--   }
--
-- Runs after the plugin's door (plugin/orthanc_deid/door.py) and sees only what that lets in. It sees who sends, which
-- the door does not; but what it refuses is kept nowhere, and a C-STORE sender is told Success, a REST client
-- "FilteredOut". To refuse and keep a copy, write a rule under intake.refuse in deid.yaml instead.
--
-- The results that the workers store pass through here too: do not refuse a modality that shall be de-identified.

local function set(values, name)
   local found = {}
   if values == nil then
      return found
   end
   if type(values) ~= 'table' then
      error('OrthancDeidIncoming.' .. name .. ' in orthanc.json is not a list')
   end
   for _, value in pairs(values) do
      found[value] = true
   end
   return found
end

local function trimmed(text)
   return (tostring(text or ''):gsub('^%s+', ''):gsub('%s+$', ''))
end

local section = GetOrthancConfiguration()['OrthancDeidIncoming'] or {}
for key in pairs(section) do
   if key ~= 'RefuseAets' and key ~= 'RefuseModalities' then
      error('unknown key in OrthancDeidIncoming of orthanc.json: ' .. tostring(key))
   end
end
local refusedAets = set(section['RefuseAets'], 'RefuseAets')
local refusedModalities = set(section['RefuseModalities'], 'RefuseModalities')

-- Orthanc's name: false means that the instance is not stored.
function ReceivedInstanceFilter(dicom, origin, info)
   if origin['RequestOrigin'] == 'DicomProtocol' and refusedAets[trimmed(origin['RemoteAet'])] then
      return false
   end
   return not refusedModalities[trimmed(dicom['Modality'])]
end
