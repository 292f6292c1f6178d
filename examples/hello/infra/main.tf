# What the service needs around it. A real one would declare its cluster, its load balancer and its service here; this
# one uses only terraform_data, which is built into Terraform, so that it plans and applies anywhere and offline.

terraform {
  # No backend block: the worker writes its own, and refuses a bundle that brings one.
  required_version = ">= 1.4"
}

variable "greeting" {
  description = "What the service says."
  type        = string

  validation {
    condition     = length(var.greeting) > 0 && length(var.greeting) <= 100
    error_message = "The greeting must have 1 to 100 characters."
  }
}

variable "image" {
  description = "Digest of the image that the service runs, sha256:…"
  type        = string

  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image must be named by its digest: sha256: and 64 hexadecimal digits."
  }
}

# Changes in place when the image or the greeting does. With `triggers_replace` instead of `input`, each deploy would
# destroy and create it: a risk finding, and a person would have to approve.
resource "terraform_data" "release" {
  input = {
    greeting = var.greeting
    image    = var.image
  }
}

output "greeting" {
  description = "What the service says."
  value       = terraform_data.release.input.greeting
}

output "image" {
  description = "Digest of the image that the service runs."
  value       = terraform_data.release.input.image
}
